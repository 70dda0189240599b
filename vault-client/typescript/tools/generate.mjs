// Makes src/generated from proto/vault/v1 of this repository and proto/countersign of this package.
//
//   node tools/generate.mjs            writes
//   node tools/generate.mjs --check    writes nothing; ends with 1 if something differs
//
// Needs `npm ci`, whose protoc-gen-es makes the TypeScript, and a Python with grpcio-tools of exactly PROTOC, whose
// protoc reads the files: python3, or what COUNTERSIGN_PYTHON_CLIENT names, as for the Python package. Without that
// Python --check compares the sources with those that were read the last time, and says so. Only messages are used:
// the package names the few calls it makes itself.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGE = dirname(dirname(fileURLToPath(import.meta.url)));
const PROTOC = '1.72.2';
const PYTHON = process.env.COUNTERSIGN_PYTHON_CLIENT ?? 'python3';
const PLUGIN = join(PACKAGE, 'node_modules', '@bufbuild', 'protoc-gen-es');
const OUT = join(PACKAGE, 'src', 'generated');
const ROOTS = [join(PACKAGE, '..', '..', 'proto'), join(PACKAGE, 'proto')];
// What the calls of a bot need, with what these import.
const WANTED = [
  'countersign/rpc.proto',
  'vault/v1/client_service.proto',
  'vault/v1/common.proto',
  'vault/v1/credential_service.proto',
  'vault/v1/execute_service.proto',
  'vault/v1/scope_service.proto',
  'vault/v1/sign_service.proto',
];

function source(name) {
  for (const root of ROOTS) {
    try {
      return readFileSync(join(root, name));
    } catch {
      // Then it is in the other.
    }
  }
  throw new Error(`there is no ${name}`);
}

function files(folder) {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return [];
  }
}

function tree(folder) {
  return new Map(files(folder).map((path) => [relative(folder, path), readFileSync(path, 'utf8')]));
}

/** What SOURCES says: SHA-256 and name of each source, and the versions of what reads and writes. */
function digests() {
  const lines = WANTED.map((name) => `${createHash('sha256').update(source(name)).digest('hex')}  ${name}`);
  const plugin = JSON.parse(readFileSync(join(PLUGIN, 'package.json'), 'utf8'));
  return [...lines, `grpcio-tools ${PROTOC}`, `protoc-gen-es ${plugin.version}`, ''].join('\n');
}

function hasProtoc() {
  const version = "from importlib.metadata import version; print(version('grpcio-tools'))";
  const { stdout } = spawnSync(PYTHON, ['-c', version], { encoding: 'utf8' });
  return stdout?.trim() === PROTOC;
}

function generate() {
  const work = mkdtempSync(join(tmpdir(), 'countersign-generate-'));
  try {
    const options = [
      ...ROOTS.map((root) => `-I${root}`),
      `--plugin=protoc-gen-es=${join(PLUGIN, 'bin', 'protoc-gen-es')}`,
      `--es_out=${work}`,
      '--es_opt=target=ts,import_extension=js',
    ];
    execFileSync(PYTHON, ['-m', 'grpc_tools.protoc', ...options, ...WANTED], { stdio: 'inherit' });
    return new Map([...tree(work), ['SOURCES', digests()]]);
  } finally {
    rmSync(work, { recursive: true });
  }
}

function check() {
  const there = tree(OUT);
  if (!hasProtoc()) {
    console.error(
      `SKIPPED: ${PYTHON} has no grpcio-tools ${PROTOC}; sources are compared, nothing is generated`,
    );
    return there.get('SOURCES') === digests() ? [] : ['SOURCES'];
  }
  return differing(generate(), there);
}

function differing(made, there) {
  return [...new Set([...made.keys(), ...there.keys()])].filter((name) => made.get(name) !== there.get(name));
}

if (process.argv.includes('--check')) {
  const stale = check();
  for (const name of stale) console.error(`${join(OUT, name)} is not up to date: npm run generate`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else if (!hasProtoc()) {
  console.error(`${PYTHON} has no grpcio-tools ${PROTOC}`);
  process.exitCode = 1;
} else {
  const made = generate();
  for (const name of differing(made, tree(OUT))) {
    const text = made.get(name);
    if (text === undefined) {
      rmSync(join(OUT, name));
    } else {
      mkdirSync(dirname(join(OUT, name)), { recursive: true });
      writeFileSync(join(OUT, name), text);
    }
  }
}
