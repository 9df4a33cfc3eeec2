// The provider token that Apple wants with each request: minted rarely, and the same age on every restart.
// Apple Developer Documentation, "Establishing a token-based connection to APNs"; RFC 7519; RFC 7518, section 3.4.
import { createPrivateKey, type KeyObject, sign } from "node:crypto";

const MINUTE_MS = 60_000;
// `iat` is rounded down to this, so that a service that restarts in a loop presents one issue time, not many.
const ROUND_MS = 30 * MINUTE_MS;
// Apple refuses tokens older than 60 min. At 50 there is room for clocks that differ, and a token with the oldest
// possible rounded `iat` (30 min) is still used for 20 min, Apple's shortest allowed interval.
const RENEW_AGE_MS = 50 * MINUTE_MS;
// Apple: not more than one new token in 20 min.
const SPACING_MS = 20 * MINUTE_MS;
// A token from the future means that the clock was set back: beyond this it is minted anew.
const FUTURE_MS = 5 * MINUTE_MS;

export interface ProviderTokenOptions {
  /** PEM of the .p8 file. */
  readonly privateKey: string;
  readonly keyId: string;
  readonly teamId: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds: the spacing must not depend on a clock that can be set. */
  readonly monotonicNow: () => number;
}

export interface ProviderToken {
  /** The token to send with. Mints when it is time to; synchronous, so never twice for one need. */
  current(): string;
  /** This token was accepted: it is the one to fall back to while no new one may be used. */
  accepted(token: string): void;
  /**
   * Apple calls `token` expired. Mints a new one at the exact time, unless `token` is not the current one any
   * more (then another ring already did) or that was done within 20 min.
   * @returns whether it makes sense to send again
   */
  expired(token: string): boolean;
  /** Apple saw too many new tokens: none is minted for 20 min, the last accepted one is used while it lives. */
  hold(): void;
}

interface Minted {
  readonly text: string;
  /** Epoch milliseconds. */
  readonly iat: number;
}

/** @throws if the key is not a P-256 private key */
export function createProviderToken(options: ProviderTokenOptions): ProviderToken {
  const { now, monotonicNow } = options;
  const key = createPrivateKey(options.privateKey);
  const header = base64url({ alg: "ES256", kid: options.keyId });
  let token: Minted | null = null;
  let proven: Minted | null = null;
  let mintedAt = Number.NEGATIVE_INFINITY;
  let forcedAt = Number.NEGATIVE_INFINITY;
  let heldUntil = Number.NEGATIVE_INFINITY;

  function mint(iat: number): Minted {
    const signed = `${header}.${base64url({ iss: options.teamId, iat: Math.floor(iat / 1000) })}`;
    mintedAt = monotonicNow();
    return { text: `${signed}.${es256(key, signed)}`, iat };
  }

  function isDue(minted: Minted): boolean {
    const age = now() - minted.iat;
    return age >= RENEW_AGE_MS || age < -FUTURE_MS;
  }

  return {
    current() {
      if (token === null) {
        token = mint(Math.floor(now() / ROUND_MS) * ROUND_MS);
      } else if (isDue(token)) {
        const age = now() - token.iat;
        // Set back or far ahead, the clock itself changed; else the spacing holds.
        const clockMoved = age < -FUTURE_MS || age > RENEW_AGE_MS + SPACING_MS;
        const mayMint =
          monotonicNow() >= heldUntil && (clockMoved || monotonicNow() - mintedAt >= SPACING_MS);
        if (mayMint) token = mint(Math.floor(now() / ROUND_MS) * ROUND_MS);
      }
      return token.text;
    },
    accepted(text) {
      if (token !== null && token.text === text) proven = token;
    },
    expired(text) {
      if (token !== null && token.text !== text) return true;
      if (monotonicNow() < heldUntil || monotonicNow() - forcedAt < SPACING_MS) return false;
      forcedAt = monotonicNow();
      // Not rounded: Apple's clock and ours differ, so the token must be as fresh as it can be.
      token = mint(now());
      return true;
    },
    hold() {
      heldUntil = monotonicNow() + SPACING_MS;
      if (proven !== null && !isDue(proven)) token = proven;
    },
  };
}

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

// JWS wants the two numbers of the signature side by side (RFC 7518, section 3.4), not in DER. The signature is
// random, so two tokens with one `iat` differ in text; Apple's limit is on how often, not on the text.
function es256(key: KeyObject, text: string): string {
  return sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
}
