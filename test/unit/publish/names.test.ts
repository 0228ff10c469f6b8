import { expect, test } from 'bun:test';
import { parseImageReference } from '../../../lib/oci/reference.ts';
import { publicName, requirePublishable } from '../../../lib/publish/repository/names.ts';

const publishable = (text: string) => requirePublishable(parseImageReference(text));
const HEX = 'a'.repeat(64);

test.each([
  ['docker://registry.example.org:5000/team/app:v1', 'registry.example.org:5000/team/app:v1'],
  ['docker:///alpine', 'docker.io/library/alpine:latest'],
  [`docker://registry.example.org/app@sha256:${HEX}`, `registry.example.org/app:sha256:${HEX}`],
  [`docker://registry.example.org/app:v1@sha256:${HEX}`, 'registry.example.org/app:v1'],
])('%s is published as %s', (reference, name) => {
  expect(publicName(publishable(reference), undefined)).toBe(name);
});

test('an image from files needs a name', () => {
  const layout = publishable('oci:///layout');
  expect(() => publicName(layout, undefined)).toThrow('PUBLISH_NEEDS_NAME');
  expect(publicName(layout, 'registry.example.org/app:v1')).toBe('registry.example.org/app:v1');
});

test.each([
  '',
  'app:v1',
  '.metadata/app:v1',
  'registry.example.org/.layers:v1',
  'registry.example.org/../app:v1',
  'registry.example.org//app:v1',
  '/registry.example.org/app:v1',
  'registry.example.org/app',
  'registry.example.org/a:1/b:2',
  'registry.example.org/app:v1/',
  'registry.example.org/app:v1\n',
  `registry.example.org/app:${'x'.repeat(255)}`,
])('%j is no name', (name) => {
  expect(() => publicName(publishable('oci:///layout'), name)).toThrow('PUBLISH_BAD_NAME');
});

test.each(['/srv/image.tar', 'cvmfs:///cvmfs/a.example.org/b'])('%s has no manifest', (reference) => {
  expect(() => publishable(reference)).toThrow('PUBLISH_SOURCE');
});
