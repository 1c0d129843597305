// The door for `import`: the same objects as the door for `require`, so that an `Index` or a `GosyncError` that came
// through one is known by the other.
export * from './index.js';
