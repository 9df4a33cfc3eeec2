// Knows the delivered configuration by its examples: nobody runs it as it is, so it may be replaced.

const EXAMPLE = { url: "https://push.corp.example:8443", app: "com.example.mail", key: "ABC123DEFG" };

/**
 * Whether it is the delivered file, unchanged in what every company has to change.
 * @param plain the document as plain values, unchecked
 */
export function isDelivered(plain: unknown): boolean {
  const { public: front, apps } = (plain ?? {}) as {
    readonly public?: { readonly registration_url?: unknown };
    readonly apps?: unknown;
  };
  const [app] = Array.isArray(apps) ? (apps as unknown[]) : [];
  const { id, apns } = (app ?? {}) as {
    readonly id?: unknown;
    readonly apns?: { readonly key?: { readonly key_id?: unknown } };
  };
  return front?.registration_url === EXAMPLE.url && id === EXAMPLE.app && apns?.key?.key_id === EXAMPLE.key;
}
