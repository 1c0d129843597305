// Tests what a user gets: packs the package, installs the pack in a new folder, compiles the tests against the types that
// were installed, and runs them there.
//
//   node scripts/test.mjs [--leak] [FILE...]    FILEs are names in test/ without .test and what follows

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(dirname(here));
const leak = process.argv.includes('--leak');
const names = process.argv.slice(2).filter((name) => name !== '--leak');

// A call that never comes back is a failure too: hence the limit.
function run(program, args, cwd, env = {}) {
  const child = spawnSync(program, args, { cwd, stdio: 'inherit', timeout: 10 * 60_000, env: { ...process.env, ...env }, shell: program === 'npm' && process.platform === 'win32' });
  if (child.error || child.status !== 0) {
    console.error(child.error?.message ?? `failed: ${program} ${args.join(' ')}`);
    console.error(`left for a look: ${cwd}`);
    process.exit(child.status || 1);
  }
}

for (const [file, command] of [['dist/index.js', 'npm run build'], ['native.js', 'npm run gen']]) {
  if (!existsSync(join(here, file))) {
    console.error(`bindings/node/${file} is missing: run \`${command}\` first`);
    process.exit(1);
  }
}
if (!readdirSync(here).some((name) => name.endsWith('.node'))) {
  console.error('the addon is missing: run `npm run build:native` first');
  process.exit(1);
}

const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
mkdirSync(target, { recursive: true });
// A folder of its own for each run, so that two runs do not meet; kept when something fails.
const fresh = mkdtempSync(join(target, 'node-test-'));
run('npm', ['pack', '--silent', '--pack-destination', fresh, here], fresh);
const packed = readdirSync(fresh).find((name) => name.endsWith('.tgz'));
writeFileSync(join(fresh, 'package.json'), JSON.stringify({ name: 'gosync-test', private: true, type: 'module' }));
run('npm', ['install', '--silent', '--no-fund', '--no-audit', '--offline', `./${packed}`], fresh);

// The tests, and the compiler's answer to whether the installed types are what they need: libraries are checked too.
cpSync(join(here, 'test'), join(fresh, 'test'), { recursive: true });
cpSync(join(root, 'examples/node/update.mjs'), join(fresh, 'update.mjs'));
const options = {
  target: 'ES2022',
  lib: ['ES2023'],
  module: 'node16',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  types: ['node'],
  typeRoots: [join(here, 'node_modules/@types')],
  outDir: 'out/test',
  rootDir: 'test',
};
writeFileSync(join(fresh, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['test'] }));
run(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '-p', fresh], fresh);

const env = { GOSYNC_VECTORS: process.env.GOSYNC_VECTORS ?? join(root, 'tests/vectors') };
const out = join(fresh, 'out/test');
if (leak) {
  run(process.execPath, ['--expose-gc', join(out, 'leak.mjs')], fresh, env);
} else {
  const files = readdirSync(out).filter((name) => /\.test\.[cm]js$/.test(name));
  const wanted = files.filter((name) => names.length === 0 || names.includes(name.split('.')[0]));
  run(process.execPath, ['--test', ...wanted.map((name) => join(out, name))], fresh, env);
}
rmSync(fresh, { recursive: true });
