// What a rehearsal says at its beginning: where everything is. One address a line, so that it can be copied.
import { join } from "node:path";
import { ownCommand } from "../rehearsal/stage/appliance-process.ts";
import type { Props } from "../rehearsal/stage/props.ts";
import type { Stage } from "../rehearsal/stage/stage.ts";

/** @param alone whether only the simulators run, and somebody else starts the appliance */
export function headingOf(
  { urls, directory, configFile }: Pick<Props, "urls" | "directory" | "configFile">,
  stage: Pick<Stage, "providers" | "phones" | "spareTokens">,
  alone: boolean,
): string[] {
  const { registration, exchange, admin } = urls;
  const first = "Inboxbell rehearsal: everything on this machine, nothing leaves it.";
  const authority = `  authority  ${join(directory, "ca.pem")} (curl --cacert)`;
  const appliance = [
    `  discovery  ${registration}/v1/discovery`,
    `  API        ${registration}/v1/openapi.json`,
    `  health     ${registration}/readyz (of the phones' listener)`,
    `             ${exchange}/readyz (of Exchange's)`,
    // A shell would take the question mark for a pattern.
    `             "${admin}/readyz?verbose"`,
    `  metrics    ${admin}/metrics`,
  ];
  if (!alone) return [first, ...appliance, authority];
  return [
    first,
    `The simulators are up, and ${stage.phones.length} phones wait for an appliance. Start one with:`,
    `  ${ownCommand("serve", "--config", configFile).join(" ")}`,
    `  APNs       ${stage.providers.apns}`,
    `  FCM        ${stage.providers.fcm}`,
    authority,
    "Tokens that the simulators know, for a phone that you register by hand:",
    `  APNs       ${stage.spareTokens.apns}`,
    `  FCM        ${stage.spareTokens.fcm}`,
    "Once it runs:",
    ...appliance,
  ];
}
