// A connection whose first bytes are a proxy's: it waits for the PROXY protocol's header, within the handshake's
// time, and then passes the socket on together with the address of the client and the bytes that came after it.
import type { Socket } from "bun";
import type { Limits } from "./limits.ts";
import type { Held } from "./places.ts";
import { type ProxyHeader, readProxyHeader, startsProxyHeader } from "./proxy-header.ts";
import type { RefusalReason } from "./refusals.ts";
import type { SocketUser } from "./socket-user.ts";

export interface ArrivalOwner {
  readonly limits: Pick<Limits, "handshakeMs">;
  /** Monotonic, milliseconds. */
  now(): number;
  refused(why: RefusalReason, address: string): void;
  /** The client is known; `rest` holds its own first bytes. The owner forgets the arrival. */
  pass(arrival: Arrival, client: string, rest: Buffer): void;
  closed(arrival: Arrival): void;
}

const NOTHING: Buffer = Buffer.alloc(0);

export class Arrival implements Held, SocketUser {
  readonly address: string;
  readonly socket: Socket<SocketUser>;
  readonly arrivedAt: number;
  deadlineAt: number;
  readonly canYield = true;
  private readonly owner: ArrivalOwner;
  private readonly isTrusted: boolean;
  private waits = true;
  private bytes = NOTHING;

  /**
   * @param address of the TCP peer
   * @param isTrusted a proxy that has to send the header; nobody else may
   */
  constructor(owner: ArrivalOwner, socket: Socket<SocketUser>, address: string, isTrusted: boolean) {
    this.owner = owner;
    this.socket = socket;
    this.address = address;
    this.isTrusted = isTrusted;
    this.arrivedAt = owner.now();
    this.deadlineAt = this.arrivedAt + owner.limits.handshakeMs;
  }

  onData(bytes: Buffer): void {
    // Once passed on to TLS, the plain socket goes on reporting what it reads; that is for the TLS socket alone.
    if (!this.waits) return;
    this.bytes = this.bytes.length === 0 ? bytes : Buffer.concat([this.bytes, bytes]);
    if (this.isTrusted) this.take(readProxyHeader(this.bytes));
    else this.takeDirect();
  }

  private take(header: ProxyHeader): void {
    switch (header.kind) {
      case "incomplete":
        break;
      case "invalid":
        this.refuse("proxy_protocol");
        break;
      case "complete":
        this.passOn(header.address ?? this.address, this.bytes.subarray(header.bytes));
        break;
    }
  }

  /** A client beside the proxies: what it sends is its own, as long as it does not claim to be another. */
  private takeDirect(): void {
    const start = startsProxyHeader(this.bytes);
    if (start === "yes") this.refuse("proxy_protocol");
    else if (start === "no") this.passOn(this.address, this.bytes);
  }

  private passOn(client: string, rest: Buffer): void {
    this.waits = false;
    this.bytes = NOTHING;
    this.owner.pass(this, client, rest);
  }

  private refuse(why: RefusalReason): void {
    this.owner.refused(why, this.address);
    this.abandon();
  }

  onHandshake(): void {}

  onDrain(): void {}

  onPeerEnd(): void {
    if (this.waits) this.abandon();
  }

  onClose(): void {
    if (!this.waits) return;
    this.waits = false;
    this.owner.closed(this);
  }

  expire(): void {
    this.refuse("handshake_time");
  }

  wind(byMs: number): void {
    this.deadlineAt = Math.min(this.deadlineAt, byMs);
  }

  abandon(): void {
    if (!this.waits) return;
    this.socket.terminate();
    this.onClose();
  }
}
