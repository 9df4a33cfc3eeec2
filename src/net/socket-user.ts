// What a listener's socket reports to whoever uses it: a connection, or before that an arrival whose client is not
// known yet.

export interface SocketUser {
  /** The TLS handshake has ended. */
  onHandshake(isDone: boolean): void;
  onData(bytes: Buffer): void;
  onDrain(): void;
  /** The client has closed its side. */
  onPeerEnd(): void;
  onClose(): void;
  /** Closes without further ado. */
  abandon(): void;
}
