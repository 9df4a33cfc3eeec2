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
}

// A fifth: far above the tokens that die in a normal week, far below a mix-up, where nearly all are refused.
export const SHARE_RULE: ShareRule = {
  windowMs: 3_600_000,
  minAnswers: 50,
  maxShare: 0.2,
  badWithoutAccepted: 5,
};

/** Answers counted in two halves of a window, so that memory stays constant and old answers fade. */
export interface Share {
  readonly since: number;
  readonly accepted: number;
  readonly bad: number;
  readonly before: { readonly accepted: number; readonly bad: number };
}

const NOTHING = { accepted: 0, bad: 0 } as const;

export function emptyShare(now: number): Share {
  return { since: now, ...NOTHING, before: NOTHING };
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
          since: now,
          ...NOTHING,
          before: age < rule.windowMs ? { accepted: share.accepted, bad: share.bad } : NOTHING,
        };
  return bad ? { ...turned, bad: turned.bad + 1 } : { ...turned, accepted: turned.accepted + 1 };
}

/** Whether so many tokens are called bad that none should be judged by it. */
export function isSuspicious(share: Share, rule: ShareRule = SHARE_RULE): boolean {
  const accepted = share.accepted + share.before.accepted;
  const bad = share.bad + share.before.bad;
  if (accepted === 0 && bad >= rule.badWithoutAccepted) return true;
  const total = accepted + bad;
  return total >= rule.minAnswers && bad / total > rule.maxShare;
}
