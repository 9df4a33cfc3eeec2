// Judges a send request as FCM does: sender, project, message, device, quotas, in this order.
import { createRateLimiter, type RateLimit } from "../provider/rate-limit.ts";
import type { FcmDevices } from "./devices.ts";
import { type AcceptedMessage, checkMessage } from "./message.ts";
import type { OAuth } from "./oauth.ts";
import { FcmRefusal } from "./refusal.ts";

export interface JudgeOptions {
  readonly projectId: string;
  readonly devices: FcmDevices;
  readonly oauth: OAuth;
  readonly deviceLimit: RateLimit;
  /** A second limit for one device, over a longer time. */
  readonly deviceHourLimit: RateLimit;
  readonly projectLimit: RateLimit;
}

/**
 * @param project the project named in the path
 * @param nowMs the simulator's clock
 * @throws FcmRefusal
 */
export type Judge = (
  project: string,
  authorization: string | undefined,
  body: Buffer,
  nowMs: number,
) => AcceptedMessage;

/** A judge with the memory that the quotas need. */
export function createJudge(options: JudgeOptions): Judge {
  const perProject = createRateLimiter(options.projectLimit);
  const perDevice = createRateLimiter(options.deviceLimit);
  const perDeviceHour = createRateLimiter(options.deviceHourLimit);

  function checkSender(authorization: string | undefined, nowMs: number): void {
    switch (options.oauth.judge(authorization, nowMs)) {
      case "good":
        return;
      case "missing":
        throw new FcmRefusal("CREDENTIALS_MISSING");
      case "unknown":
        throw new FcmRefusal("UNAUTHENTICATED");
      case "insufficient":
        throw new FcmRefusal("SCOPE_INSUFFICIENT");
    }
  }

  return (project, authorization, body, nowMs) => {
    checkSender(authorization, nowMs);
    if (project !== options.projectId) throw new FcmRefusal("WRONG_PROJECT");
    if (perProject.take("", nowMs) !== undefined) throw new FcmRefusal("PROJECT_QUOTA");
    const message = checkMessage(body);
    if (message.token === "") return message;
    options.devices.check(message.token);
    const waits = [perDevice.take(message.token, nowMs), perDeviceHour.take(message.token, nowMs)];
    if (waits.some((wait) => wait !== undefined)) throw new FcmRefusal("DEVICE_QUOTA");
    return message;
  };
}
