/** Sentences for layers and root filesystems that are no tar: the format of the data, and how to make a tar of it. */
import type { ForeignFormat } from '../../lib/base/errors/layer.ts';

interface Known {
  readonly is: string;
  readonly cure: string;
}

const FORMATS: Readonly<Record<ForeignFormat, Known>> = {
  gzip: twice('gzip'),
  zstd: twice('zstd'),
  xz: compressed('xz', 'xz -dc'),
  lzma: compressed('lzma', 'xz --format=lzma -dc'),
  bzip2: compressed('bzip2', 'bzip2 -dc'),
  lz4: compressed('lz4', 'lz4 -dc'),
  lzip: compressed('lzip', 'lzip -dc'),
  lzop: compressed('lzop', 'lzop -dc'),
  compress: compressed('compress', 'gzip -dc'),
  zip: archive('a zip archive', 'unzip FILE -d DIR'),
  '7z': archive('a 7z archive', '7z x -oDIR FILE'),
  rar: archive('a rar archive', 'unrar x FILE DIR/'),
  cpio: archive('a cpio archive', 'cpio -idm -D DIR <FILE'),
  ar: archive('an ar archive (a Debian package is one)', 'dpkg -x FILE DIR'),
  rpm: archive('an rpm package', 'rpm2cpio FILE | cpio -idm -D DIR'),
  squashfs: archive('a squashfs image', 'unsquashfs -d DIR FILE'),
  qcow2: {
    is: 'a qcow2 disk image',
    cure: 'mount the filesystem in it (`qemu-nbd`), and make a tar of its files',
  },
  HTML: {
    is: 'an HTML page',
    cure: 'a server sent an error or a login page instead of the file; fetch the file again with `curl -fL`',
  },
  JSON: {
    is: 'JSON text',
    cure: 'a manifest, or the error message of a server; fetch the layer itself',
  },
  text: { is: 'text', cure: 'a script, or the message of a server; fetch the file again' },
};

function compressed(name: string, command: string): Known {
  const cure = `graft reads gzip and zstd; make a tar of it (\`${command} FILE >FILE.tar\`), or build the image with gzip`;
  return { is: `data compressed with ${name}`, cure };
}

function archive(is: string, command: string): Known {
  return { is, cure: `unpack it (\`${command}\`), and make a tar of that (\`tar -C DIR -cf FILE.tar .\`)` };
}

function twice(name: string): Known {
  const cure = `its media type does not say so, or it was compressed twice; decompress it once (\`${name} -dc\`), or build the image again`;
  return { is: `data compressed with ${name} where a tar is expected`, cure };
}

/** @param format undefined for an unknown format */
export function notATar(format: ForeignFormat | undefined): string {
  if (format === undefined) {
    return 'the layer is no tar: its format is unknown; fetch or copy it again, and if that does not help ask who publishes it';
  }
  const { is, cure } = FORMATS[format];
  return `the layer is no tar but ${is}: ${cure}`;
}
