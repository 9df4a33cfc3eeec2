// A sender rings over one provider with one app's credential.
import type { Ring } from "../store/types.ts";
import type { Verdict } from "./outcome.ts";

export interface Sender {
  /** Sends one ring and says what became of it. Never rejects. */
  send(ring: Ring): Promise<Verdict>;
  /** Opens a connection before the first ring needs one. */
  warm(): void;
  /**
   * Takes every connection of this moment out of use and connects anew. Rings in flight finish where they are and
   * are not sent a second time. For a sender whose connections look well and whose rings are not accepted.
   */
  renew(): void;
  /** Ends the connections; what is still on its way gets the verdict `unreachable`. */
  stop(): void;
}
