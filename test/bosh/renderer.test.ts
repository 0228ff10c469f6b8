/** The renderer against BOSH's rules, with jobs of its own, so that a wrong template below is the template's fault. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type TempDir, tempDir } from '../support/temp.ts';
import { type RenderRequest, renderJob } from './release.ts';

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

const SPEC = `
name: sample
templates: {text.erb: config/text, bin/run: bin/run}
consumes: [{name: peer, type: peer, optional: true}]
properties:
  a.given: {default: one}
  a.flag: {default: false}
  a.optional: {description: without a default}
  list: {default: [1, 2]}
`;

/** Renders one template text as the only template of a job. */
async function render(text: string, request: RenderRequest = {}) {
  const release = dir.at('release');
  write('release/jobs/sample/spec', SPEC);
  write('release/jobs/sample/monit', '');
  write('release/jobs/sample/templates/text.erb', text);
  write('release/jobs/sample/templates/bin/run', '#!/bin/bash\n');
  const rendered = await renderJob('sample', dir.at('out'), { ...request, release });
  const text_ = rendered.errors.length === 0 ? readFileSync(dir.at('out/config/text'), 'utf8') : '';
  return { ...rendered, text: text_ };
}

function write(name: string, text: string): void {
  mkdirSync(dirname(dir.at(name)), { recursive: true });
  writeFileSync(dir.at(name), text);
}

describe('p', () => {
  const cases: [name: string, template: string, properties: RenderRequest['properties'], text: string][] = [
    ['takes the default of the spec', "<%= p('a.given') %>", {}, 'one'],
    ['takes the manifest before the default', "<%= p('a.given') %>", { a: { given: 'two' } }, 'two'],
    ['keeps false apart from missing', "<%= p('a.flag') %>", {}, 'false'],
    ['lets false win over its own default', "<%= p('a.flag', true) %>", {}, 'false'],
    ['takes its second argument when nothing is set', "<%= p('a.optional', 'x') %>", {}, 'x'],
    ['takes nil as second argument', "<%= p('a.optional', nil).inspect %>", {}, 'nil'],
    ['counts null in the manifest as not set', "<%= p('a.given') %>", { a: { given: null } }, 'one'],
    ['takes the first of several names that is set', '<%= p(%w[a.optional a.given]) %>', {}, 'one'],
    ['gives lists as lists', "<%= p('list').sum %>", {}, '3'],
  ];
  for (const [name, template, properties, text] of cases) {
    test(name, async () =>
      expect((await render(template, { properties: properties ?? {} })).text).toBe(text),
    );
  }

  test('raises for a property that is not set', async () => {
    const { errors } = await render("<%= p('a.optional') %>");
    expect(errors).toEqual([
      { template: 'config/text', kind: 'UnknownProperty', message: "Can't find property 'a.optional'" },
    ]);
  });

  test('raises for a property that the spec does not declare, although the manifest sets it', async () => {
    const { errors } = await render("<%= p('a.stray') %>", { properties: { a: { stray: 1 } } });
    expect(errors[0]?.kind).toBe('UnknownProperty');
  });

  test('raises where the manifest has a value instead of a map', async () => {
    const { errors } = await render("<%= p('a.given') %>", { properties: { a: 'text' } });
    expect(errors[0]?.kind).toBe('InvalidPropertyType');
  });
});

describe('if_p', () => {
  const both = "<% if_p('a.optional') do |v| %>got <%= v %><% end.else do %>none<% end %>";
  test('runs its block with the value', async () =>
    expect((await render(both, { properties: { a: { optional: 5 } } })).text).toBe('got 5'));
  test('runs the block of else without one', async () => expect((await render(both)).text).toBe('none'));
  test('needs all of its names', async () =>
    expect((await render("<% if_p('a.given', 'a.optional') do %>x<% end %>")).text).toBe(''));
  test('runs its block for false', async () =>
    expect((await render("<% if_p('a.flag') do |v| %><%= v %><% end %>")).text).toBe('false'));
  test('goes on with else_if_p', async () =>
    expect(
      (await render("<% if_p('a.optional') do %>1<% end.else_if_p('a.given') do |v| %><%= v %><% end %>"))
        .text,
    ).toBe('one'));
  test('stops at the first block that ran', async () =>
    expect(
      (await render("<% if_p('a.given') do %>1<% end.else_if_p('list') do %>2<% end.else do %>3<% end %>"))
        .text,
    ).toBe('1'));
});

describe('link', () => {
  const links = {
    peer: {
      instances: [{ name: 'db', index: 0, address: '10.0.0.7', properties: { port: 5 } }],
      properties: { port: 5 },
    },
  };
  test('gives properties and instances', async () =>
    expect(
      (await render("<%= link('peer').p('port') %> <%= link('peer').instances.first.address %>", { links }))
        .text,
    ).toBe('5 10.0.0.7'));
  test('raises when there is none', async () =>
    expect((await render("<%= link('peer') %>")).errors[0]?.kind).toBe('UnknownLink'));
  test('if_link runs its else when there is none', async () =>
    expect((await render("<% if_link('peer') do %>x<% end.else do %>alone<% end %>")).text).toBe('alone'));
  test('else_if_link follows a missing property', async () =>
    expect(
      (
        await render(
          "<% if_p('a.optional') do %>x<% end.else_if_link('peer') do |l| %><%= l.p('port') %><% end %>",
          {
            links,
          },
        )
      ).text,
    ).toBe('5'));
  test('a link that the job does not consume is refused', async () =>
    expect((await render('', { links: { other: { instances: [] } } })).errors[0]?.kind).toBe('UnknownLink'));
});

test('spec tells about the instance', async () => {
  expect((await render('<%= spec.index %> <%= spec.az %> <%= name %>')).text).toBe('0 z1 sample');
});

test('a minus sign eats the line break, as directors render', async () => {
  expect((await render('<% if true -%>\nyes\n<% end -%>\n<%- [1].each do -%>\nx\n<%- end -%>\n')).text).toBe(
    'yes\nx\n',
  );
});

test('one broken template does not hide the errors of the next', async () => {
  const { errors } = await render("<%= raise 'first' %>");
  expect(errors.map((error) => error.message)).toEqual(['first']);
  expect(statSync(dir.at('out/bin/run')).mode & 0o777).toBe(0o755);
});

test('a template that is no Ruby is reported by name', async () => {
  expect((await render('<% if %>')).errors[0]).toMatchObject({
    template: 'config/text',
    kind: 'SyntaxError',
  });
});
