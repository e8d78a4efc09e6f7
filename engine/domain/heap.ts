/** A queue that gives the smallest key first. */
export interface Heap<T> {
  readonly size: number;
  /** The smallest key; Infinity when it is empty. */
  readonly least: number;
  push(key: number, value: T): void;
  /** Takes the value of the smallest key; undefined when it is empty. */
  pop(): T | undefined;
}

/** Makes an empty binary heap. Values with equal keys come in no promised, but always the same order. */
export function createHeap<T>(): Heap<T> {
  const keys: number[] = [];
  const values: T[] = [];
  const swap = (a: number, b: number): void => {
    [keys[a], keys[b]] = [keys[b] as number, keys[a] as number];
    [values[a], values[b]] = [values[b] as T, values[a] as T];
  };
  const keyAt = (index: number): number => keys[index] ?? Number.POSITIVE_INFINITY;
  return {
    get size() {
      return keys.length;
    },
    get least() {
      return keyAt(0);
    },
    push(key, value) {
      keys.push(key);
      values.push(value);
      for (let at = keys.length - 1; at > 0; ) {
        const parent = (at - 1) >> 1;
        if (keyAt(parent) <= key) return;
        swap(at, parent);
        at = parent;
      }
    },
    pop() {
      if (keys.length === 0) return undefined;
      swap(0, keys.length - 1);
      keys.pop();
      const value = values.pop();
      for (let at = 0; ; ) {
        const left = 2 * at + 1;
        const child = keyAt(left + 1) < keyAt(left) ? left + 1 : left;
        if (keyAt(child) >= keyAt(at)) return value;
        swap(at, child);
        at = child;
      }
    },
  };
}
