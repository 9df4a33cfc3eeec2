// Guards against judging tokens by a mistake of ours: when suddenly many tokens are called bad, the likelier
// cause is a sandbox/production mix-up or a wrong service account, and no token is judged by such answers.

export interface ShareRule {
  /** Only answers of the last so many milliseconds count. */
  readonly windowMs: number;
  /** With at least this many answers, the share decides. */
  readonly minAnswers: number;
  /** More than this share of bad tokens is suspicious. */
  readonly maxShare: number;
  /** With fewer answers: so many bad ones without a single accepted ring are suspicious too. */
  readonly badWithoutAccepted: number;
  /** So many bad ones in a row are suspicious, whatever was accepted before: a jump, not a share. */
  readonly badInARow: number;
}

// A fifth: far above the tokens that die in a normal week, far below a mix-up, where nearly all are refused.
export const SHARE_RULE: ShareRule = {
  windowMs: 3_600_000,
  minAnswers: 50,
  maxShare: 0.2,
  badWithoutAccepted: 5,
  badInARow: 10,
};

/** Answers counted in two halves of a window, so that memory stays constant and old answers fade. */
export interface Share {
  readonly since: number;
  readonly accepted: number;
  readonly bad: number;
  /** Bad ones since the last accepted one. */
  readonly inARow: number;
  readonly before: { readonly accepted: number; readonly bad: number };
}

const NOTHING = { accepted: 0, bad: 0 } as const;

export function emptyShare(now: number): Share {
  return { since: now, ...NOTHING, inARow: 0, before: NOTHING };
}

/**
 * Counts one answer.
 * @param now monotonic milliseconds
 */
export function countAnswer(share: Share, bad: boolean, now: number, rule: ShareRule = SHARE_RULE): Share {
  const halfMs = rule.windowMs / 2;
  const age = now - share.since;
  const turned: Share =
    age < halfMs
      ? share
      : {
          ...emptyShare(now),
          inARow: age < rule.windowMs ? share.inARow : 0,
          before: age < rule.windowMs ? { accepted: share.accepted, bad: share.bad } : NOTHING,
        };
  return bad
    ? { ...turned, bad: turned.bad + 1, inARow: turned.inARow + 1 }
    : { ...turned, accepted: turned.accepted + 1, inARow: 0 };
}

/** Whether so many tokens are called bad that none should be judged by it. */
export function isSuspicious(share: Share, rule: ShareRule = SHARE_RULE): boolean {
  const accepted = acceptedIn(share);
  const bad = badIn(share);
  if (share.inARow >= rule.badInARow) return true;
  if (accepted === 0 && bad >= rule.badWithoutAccepted) return true;
  const total = accepted + bad;
  return total >= rule.minAnswers && bad / total > rule.maxShare;
}

/**
 * Whether a token may be judged by an answer that was counted already. Nothing accepted proves the credential yet,
 * and this is not the first bad one: then it takes a few tries over minutes, in which a mix-up would show.
 * @param attempt how often this ring was tried before
 */
export function mayJudge(share: Share, attempt: number): boolean {
  return isProven(share) || badIn(share) <= 1 || attempt >= TRIES_UNPROVEN;
}

/** Whether a ring was accepted lately: credential, topic and environment are right for some phone at least. */
export function isProven(share: Share): boolean {
  return acceptedIn(share) > 0;
}

// Each some minutes apart (see `suspect` in retry.ts).
const TRIES_UNPROVEN = 2;

function acceptedIn(share: Share): number {
  return share.accepted + share.before.accepted;
}

function badIn(share: Share): number {
  return share.bad + share.before.bad;
}
