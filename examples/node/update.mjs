// An updater: makes TARGET what INDEX says, and fetches only what is missing.
//
//     node update.mjs TARGET INDEX [SOURCE [SEED...]]
//
// INDEX and SOURCE are paths or URLs. Without a SOURCE (or with -), the one that the index names is used. An existing
// TARGET is a seed by itself; each SEED is another file that may help, for instance an older version.
// Ctrl-C stops it, and TARGET stays as it was. The last line on stdout is for programs.

import { GosyncError, update } from 'gosync';

const [target, index, source, ...seeds] = process.argv.slice(2);
if (!target || !index) {
  console.error('usage: node update.mjs TARGET INDEX [SOURCE [SEED...]]');
  process.exit(2);
}

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

let phase;
function onProgress(progress) {
  const line = `${progress.phase.padEnd(12)} ${(100 * progress.fraction).toFixed(1)} %, ${progress.written} of ${progress.total} bytes written, ${progress.fetched} fetched`;
  process.stderr.write(`${phase === undefined || phase === progress.phase ? '\r' : '\n'}${line}`);
  phase = progress.phase;
}

function onEvent({ level, message, fields }) {
  if (level !== 'debug') {
    const facts = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
    process.stderr.write(`\n${level}: ${message}${facts.length > 0 ? ` [${facts.join(' ')}]` : ''}\n`);
  }
}

try {
  const done = await update({
    target,
    index,
    source: source === '-' ? undefined : source,
    seeds,
    signal: stop.signal,
    onProgress,
    onEvent,
  });
  process.stderr.write(`\n${done.upToDate ? 'up to date already' : done.reason}\n`);
  console.log(`RESULT total=${done.total} from_seeds=${done.fromSeeds} fetched=${done.fetched} wasted=${done.wasted} requests=${done.requests} retries=${done.retries} proof=${done.proof}`);
} catch (error) {
  if (!(error instanceof GosyncError)) {
    throw error;
  }
  process.stderr.write(`\nupdate: ${error.message}\n`);
  if (error.retryable) {
    process.stderr.write('  trying again later may help\n');
  }
  process.exitCode = error.kind === 'CANCELLED' ? 130 : 1;
}
