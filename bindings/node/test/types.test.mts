// The types: what must compile, and what must not. The compiler is the test; nothing here needs to run.

import { test } from 'node:test';

import { GosyncError, Index, index, info, plan, update, verify, type ErrorKind, type Piece, type Source, type Statistics, type UpdateOptions } from 'gosync';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>) => {};

export async function compiles(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  const made: Index = await index('file', { blockSize: 2048, source: 'name', signal });
  const sources: Source[] = ['file', new URL('https://example.org/x'), bytes, { readAt: () => bytes }, { fetch: async (_o, _n, s) => (s.throwIfAborted(), bytes) }];
  for (const source of sources) {
    same<Awaited<ReturnType<typeof update>>, Statistics>(true);
    await update({ target: 'file', index: made, source, seeds: ['a', new URL('file:///b')], signal, onProgress: ({ phase }) => void phase });
  }
  await update({ target: 'file', index: made, mirrors: sources, headers: new Set(['Name: value']), proxy: new URL('http://p'), caFile: new URL('file:///ca') });
  const { pieces, strategy, roundTrip, rate, time, timeWhole } = await plan({ target: new URL('file:///t'), index: bytes });
  const seedOf = (piece: Piece): number | undefined => (piece.isMissing ? undefined : piece.seedOffset);
  same<typeof strategy, 'local' | 'ranges' | 'whole'>(true);
  same<typeof time, number | undefined>(true);
  void [roundTrip, rate, timeWhole];
  pieces.map(seedOf);
  const options: UpdateOptions = { target: 't', index: await info(bytes), onEvent: (event) => event.fields['path']?.length };
  await verify(options);
  const kind: ErrorKind = new GosyncError('TIMEOUT', '').kind;
  same<GosyncError['code'], `GOSYNC_${ErrorKind}`>(true);
  void kind;
}

export async function mustNotCompile(made: Index): Promise<void> {
  // @ts-expect-error: no target
  await update({ index: made });
  // @ts-expect-error: no index
  await plan({ target: 't' });
  // @ts-expect-error: a misspelled option
  await update({ target: 't', index: made, onprogress() {} });
  // @ts-expect-error: a mirror that is no source
  await update({ target: 't', index: made, mirrors: [1] });
  // @ts-expect-error: readAt without bytes
  await update({ target: 't', index: made, source: { readAt: () => 'text' } });
  // @ts-expect-error: not a kind
  new GosyncError('OOPS', '');
  // @ts-expect-error: an index is made by `index` and `Index.open`
  new Index();
  // @ts-expect-error: what a call gives cannot be changed
  made.length = 1;
  // @ts-expect-error: an index is not content
  await index(made);
}

test('the types hold', () => {});
