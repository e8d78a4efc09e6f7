/** Lets a loop sleep until somebody wakes it or a time-out passes; wakes in between are not lost. */
export interface Waker {
  wake(): void;
  wait(timeoutMs: number): Promise<void>;
}

export function createWaker(): Waker {
  let pending = false;
  let wakeSleeper: (() => void) | undefined;
  return {
    wake() {
      pending = true;
      wakeSleeper?.();
    },
    async wait(timeoutMs) {
      if (!pending) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wakeSleeper = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        wakeSleeper = undefined;
      }
      pending = false;
    },
  };
}
