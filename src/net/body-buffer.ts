// Collects a body that arrives in pieces. Memory follows what has arrived, not what a header claims.

// One TLS record. Smaller pieces are copied together, so that a body in single bytes costs no more than its size.
const FIRST_BYTES = 16 * 1024;
const EMPTY = Buffer.alloc(0);

export class BodyBuffer {
  private store: Buffer = EMPTY;
  /** Bytes collected. */
  length = 0;

  /** Memory held, in bytes. */
  get capacity(): number {
    return this.store.length;
  }

  /**
   * Adds a piece.
   * @param limit the size that the whole body cannot pass: its Content-Length or what the listener keeps
   */
  add(piece: Buffer, limit: number): void {
    const total = this.length + piece.length;
    // The usual case: the whole body came in one packet and is used where it lies.
    if (this.length === 0 && total === limit) {
      this.store = piece;
    } else {
      if (total > this.store.length) {
        const size = Math.max(total, Math.min(limit, Math.max(FIRST_BYTES, this.store.length * 2)));
        const larger = Buffer.allocUnsafeSlow(size);
        this.store.copy(larger, 0, 0, this.length);
        this.store = larger;
      }
      piece.copy(this.store, this.length);
    }
    this.length = total;
  }

  /** The body, without a copy. */
  take(): Buffer {
    return this.length === this.store.length ? this.store : this.store.subarray(0, this.length);
  }

  clear(): void {
    this.store = EMPTY;
    this.length = 0;
  }
}
