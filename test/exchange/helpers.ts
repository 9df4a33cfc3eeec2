// Helpers of the Exchange tests: a writer of notifications in any prefix style, and a handler on a real store.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createExchangeHandler, type ExchangeHandlerOptions } from "../../src/exchange/listener.ts";
import type { EventKind } from "../../src/exchange/notification.ts";
import type { Capability } from "../../src/keys/types.ts";
import type { Answer, HttpRequest } from "../../src/net/types.ts";
import { createLogger } from "../../src/ops/log.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import type { Folder, Platform, RegistrationState } from "../../src/store/types.ts";
import { folder, id, keyring, openTestStore } from "../store/helpers.ts";

const SAMPLES = join(import.meta.dir, "..", "samples");

/** The body of a sample. */
export function sample(name: string): Buffer {
  return readFileSync(join(SAMPLES, name));
}

/** The body of the captured-style request `wire-50`. */
export function wireBody(): Buffer {
  const request = sample("wire-50-exchange-post.http");
  return request.subarray(request.indexOf("\r\n\r\n") + 4);
}

/** The ids that the samples use. */
export const SAMPLE = {
  subscription:
    "EQBleDAxLmNvcnAuZXhhbXBsZRAAAACqqqqqu7vMTI3d7u7u7u7uACiodhRU3ggQAAAAERERESIiM0OERFVVVVVVVQ==",
  inbox: "AQMkJAAxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUALgAAAwwMDAwMDAwMDAwMDAwMDAwMDAwMDAw=",
  subFolder: "AQMkJAAxMTExMTExMS0yMjIyLTQzMzMtODQ0NC01NTU1NTU1NTU1NTUALgAAAzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM=",
};

const SOAP = "http://schemas.xmlsoap.org/soap/envelope/";
const MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages";
const TYPES = "http://schemas.microsoft.com/exchange/services/2006/types";

export const ELEMENT: Readonly<Record<EventKind, string>> = {
  status: "StatusEvent",
  created: "CreatedEvent",
  deleted: "DeletedEvent",
  modified: "ModifiedEvent",
  moved: "MovedEvent",
  copied: "CopiedEvent",
  newMail: "NewMailEvent",
  freeBusyChanged: "FreeBusyChangedEvent",
  other: "SomethingNewEvent",
};

export interface WrittenEvent {
  readonly kind: EventKind;
  readonly about?: "item" | "folder" | null;
  readonly folderId?: string | null;
  readonly parentFolderId?: string | null;
  readonly unread?: number | string | null;
  readonly watermark?: string | null;
  /** As written into the document. */
  readonly time?: string | null;
}

export interface WrittenMessage {
  readonly subscriptionId?: string;
  readonly previousWatermark?: string | null;
  readonly moreEvents?: boolean;
  readonly events?: readonly WrittenEvent[];
  /** Makes it an error message. */
  readonly error?: string;
}

/** How a server writes: prefixes ("" is a default namespace), indentation, CDATA. */
export interface Style {
  readonly soap: string;
  readonly messages: string;
  readonly types: string;
  readonly indent: boolean;
  readonly cdata: boolean;
  readonly bom: boolean;
}

export const EXCHANGE_STYLE: Style = {
  soap: "soap11",
  messages: "m",
  types: "t",
  indent: false,
  cdata: false,
  bom: false,
};

export function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("\t", "&#9;")
    .replaceAll("\n", "&#10;")
    .replaceAll("\r", "&#13;");
}

/** Writes a SendNotification. Each element declares its namespace itself, so that any mix of prefixes works. */
export function write(messages: readonly WrittenMessage[], style: Style = EXCHANGE_STYLE): Buffer {
  const gap = style.indent ? "\n  " : "";
  const element = (uri: string, prefix: string, name: string, inner: string, attributes = ""): string => {
    const tag = prefix === "" ? name : `${prefix}:${name}`;
    const declaration = prefix === "" ? ` xmlns="${uri}"` : ` xmlns:${prefix}="${uri}"`;
    return inner === ""
      ? `<${tag}${declaration}${attributes} />`
      : `<${tag}${declaration}${attributes}>${inner}</${tag}>`;
  };
  const soap = (name: string, inner: string) => element(SOAP, style.soap, name, inner);
  const m = (name: string, inner: string, attributes = "") =>
    element(MESSAGES, style.messages, name, inner, attributes);
  const t = (name: string, inner: string, attributes = "") =>
    element(TYPES, style.types, name, inner, attributes);
  const value = (text: string) =>
    style.cdata && !text.includes("]]>") ? `<![CDATA[${text}]]>` : escapeXml(text);
  const optional = (name: string, text: string | number | null | undefined) =>
    text === null || text === undefined ? "" : gap + t(name, value(String(text)));
  const reference = (name: string, idText: string | null | undefined) =>
    idText === null || idText === undefined
      ? ""
      : gap + t(name, "", ` Id="${escapeXml(idText)}" ChangeKey="CQAAAA=="`);

  const writeEvent = (event: WrittenEvent): string => {
    const inner =
      optional("Watermark", event.watermark) +
      optional("TimeStamp", event.time) +
      (event.about === "item" ? reference("ItemId", "AAMkItem") : "") +
      (event.about === "folder" ? reference("FolderId", event.folderId) : "") +
      reference("ParentFolderId", event.parentFolderId) +
      optional("UnreadCount", event.unread) +
      (event.kind === "moved"
        ? reference("OldItemId", "AAMkOld") + reference("OldParentFolderId", "old")
        : "");
    return gap + t(ELEMENT[event.kind], inner === "" ? " " : inner);
  };
  const writeMessage = (message: WrittenMessage): string => {
    const subscriptionId = message.subscriptionId ?? "subscription-1";
    if (message.error !== undefined) {
      const inner =
        m("MessageText", "Il n’est pas possible de lire les événements.") +
        m("ResponseCode", message.error) +
        m("MessageXml", t("Value", value(subscriptionId), ' Name="SubscriptionId"'));
      return m("SendNotificationResponseMessage", inner, ' ResponseClass="Error"');
    }
    const notification =
      gap +
      t("SubscriptionId", value(subscriptionId)) +
      optional("PreviousWatermark", message.previousWatermark) +
      optional("MoreEvents", message.moreEvents === true ? "true" : "false") +
      (message.events ?? []).map(writeEvent).join("");
    const inner = m("ResponseCode", "NoError") + m("Notification", notification);
    return gap + m("SendNotificationResponseMessage", inner, ' ResponseClass="Success"');
  };
  const body = m("SendNotification", m("ResponseMessages", messages.map(writeMessage).join("") || " "));
  const text = `<?xml version="1.0" encoding="utf-8"?>${gap}${soap("Envelope", gap + soap("Header", "") + soap("Body", body))}`;
  return Buffer.from((style.bom ? "\ufeff" : "") + text);
}

/** A new mail in a folder, with the folder's unread count. */
export function newMail(folderId: string, unread: number, watermark: string): WrittenEvent[] {
  const common = { time: "2026-01-15T09:00:31Z", watermark };
  return [
    { ...common, kind: "created", about: "item", parentFolderId: folderId },
    { ...common, kind: "newMail", about: "item", parentFolderId: folderId },
    { ...common, kind: "modified", about: "folder", folderId, parentFolderId: "root", unread },
  ];
}

export function folderChanged(
  folderId: string,
  parentFolderId: string,
  unread: number | null,
  watermark: string,
): WrittenEvent {
  return {
    kind: "modified",
    about: "folder",
    folderId,
    parentFolderId,
    unread,
    watermark,
    time: "2026-01-15T09:00:31Z",
  };
}

export function presentState(
  folders: readonly Folder[],
  more: { readonly revision?: number; readonly dead?: "no" | "stopped" | "ended" } = {},
): RegistrationState {
  return {
    kind: "present",
    registration: {
      id: id(1),
      app: "com.example.mail",
      platform: "apns" as Platform,
      tokenMac: Buffer.alloc(16, 1),
      secretHash: Buffer.alloc(32, 2),
      subjectMac: null,
      revision: more.revision ?? 10,
      locale: null,
      createdAt: 0,
      renewedAt: 0,
    },
    folders,
    dead: more.dead ?? "no",
  };
}

/** The status word that an answer tells Exchange, or its HTTP status. */
export function statusOf(answer: Answer): string {
  if (!("rendered" in answer)) return "status" in answer ? String(answer.status) : "hangup";
  if (answer.status !== 200) return String(answer.status);
  const text = answer.rendered.close.toString("latin1");
  return /<SubscriptionStatus>(\w+)<\/SubscriptionStatus>/.exec(text)?.[1] ?? "200";
}

export function isDurable(answer: Answer): boolean {
  return "rendered" in answer && answer.rendered.close.includes("\r\nInboxbell-Durable: node\r\n");
}

/** A handler on a store of its own, with its log and a clock that the test moves. */
export async function openExchange(
  options: Partial<ExchangeHandlerOptions> & { sharedRoute?: boolean } = {},
) {
  const opened = await openTestStore();
  const metrics = createMetrics({ version: "0", commit: "0" });
  const lines: string[] = [];
  const log = createLogger("debug", "json", (line) => void lines.push(line));
  const { sharedRoute = false, ...rest } = options;
  const handler = createExchangeHandler({
    store: opened.store,
    keyring,
    config: { sharedRoute, unknownGraceMs: 3_600_000 },
    watcher: { heard: () => {}, mayAsk: () => true, asked: () => {} },
    rings: () => true,
    log,
    metrics,
    now: () => opened.time.now,
    ...rest,
  });
  const count = async (
    metric: "notifications" | "answers" | "watermarkGaps" | "keyUnknown",
    label?: string,
  ) => {
    const { values } = await metrics[metric].get();
    return values
      .filter((entry) => label === undefined || Object.values(entry.labels).map(String).includes(label))
      .reduce((sum, entry) => sum + entry.value, 0);
  };
  return {
    ...opened,
    get store() {
      return opened.store;
    },
    handler,
    metrics,
    lines,
    count,
    /** Asks the handler, without a socket. */
    ask: async (request: Partial<HttpRequest>): Promise<Answer> =>
      handler({
        method: "POST",
        path: "/",
        query: "",
        headers: new Map(),
        body: Buffer.alloc(0),
        oversize: false,
        remoteAddress: "127.0.0.1",
        correlationId: "c0ffee",
        receivedAtMs: performance.now(),
        ...request,
      }),
    /** Posts a body on the capability of a folder. */
    async post(capability: Capability, body: Buffer, more: Partial<HttpRequest> = {}): Promise<Answer> {
      return this.ask({ path: `/ews/${keyring.mintCapability(capability)}`, body, ...more });
    },
    /** Creates or renews registration `n`. */
    async put(n: number, revision: number, folders: readonly Folder[], token = `token-${n}`): Promise<void> {
      await opened.store.submit({
        registrationId: id(n),
        decide: () => ({
          change: {
            registration: {
              app: "com.example.mail",
              platform: "apns",
              token,
              secretHash: keyring.mac("secret", "s"),
              subjectMac: null,
              revision,
              locale: null,
              renewedAt: opened.time.now,
            },
            folders,
          },
          result: undefined,
        }),
      });
    },
    async folderOf(n: number, name = "inbox"): Promise<Folder> {
      const [view] = await opened.store.read([id(n)]);
      const state = view!.state;
      if (state.kind === "deleted") throw new Error("deleted");
      const found = state.folders?.find((candidate) => candidate.name === name);
      if (found === undefined) throw new Error(`no folder ${name}`);
      return found;
    },
    async nextRing(n: number) {
      const [ring] = await opened.store.begin([id(n)]);
      return ring ?? null;
    },
    /** Rings and settles all that is owed, and says what it was. */
    async ringAll(n: number): Promise<{ reason: string; badge: number | null; folder: string | null }[]> {
      const rings: { reason: string; badge: number | null; folder: string | null }[] = [];
      for (let i = 0; i < 10; i += 1) {
        const [ring] = await opened.store.begin([id(n)]);
        if (ring === undefined) return rings;
        rings.push({ reason: ring.reason, badge: ring.badge, folder: ring.folder });
        await opened.store.settle([{ ring, kind: "done", outcome: "accepted", at: opened.time.now }]);
      }
      throw new Error("a ring stays owed");
    },
  };
}

export const inboxOf = (n: number, generation: number): Capability => ({
  registrationId: id(n),
  folder: "inbox",
  generation,
});

export const inbox = (generation: number, more: Partial<Folder> = {}): Folder =>
  folder("inbox", generation, more);
