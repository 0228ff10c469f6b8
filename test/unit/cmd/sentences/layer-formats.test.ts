import { expect, test } from 'bun:test';
import { notATar } from '../../../../cmd/sentences/layer-formats.ts';

test('a sentence names the format and the command that makes a tar of it', () => {
  const commands = {
    gzip: 'gzip -dc',
    zstd: 'zstd -dc',
    xz: 'xz -dc',
    lzma: 'xz --format=lzma -dc',
    bzip2: 'bzip2 -dc',
    lz4: 'lz4 -dc',
    lzip: 'lzip -dc',
    lzop: 'lzop -dc',
    compress: 'gzip -dc',
    zip: 'unzip',
    '7z': '7z x',
    rar: 'unrar x',
    cpio: 'cpio -idm',
    ar: 'dpkg -x',
    rpm: 'rpm2cpio',
    squashfs: 'unsquashfs',
    qcow2: 'qemu-nbd',
    HTML: 'curl -fL',
    JSON: 'fetch the layer itself',
    text: 'fetch the file again',
  } as const;
  for (const [format, command] of Object.entries(commands) as [keyof typeof commands, string][]) {
    expect(notATar(format)).toMatch(new RegExp(`^the layer is no tar but .*\\b${format}\\b`));
    expect(notATar(format)).toContain(command);
  }
  expect(notATar(undefined)).toStartWith('the layer is no tar: ');
});
