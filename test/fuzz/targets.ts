// Everything that can be fuzzed.
import type { Target } from "./target.ts";
import { notification } from "./target-notification.ts";
import { request } from "./target-request.ts";

export const TARGETS: readonly Target[] = [notification, request];
