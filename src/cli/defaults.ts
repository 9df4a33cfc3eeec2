// Where the delivered service has its files.

export const DEFAULT_CONFIG = "/etc/inboxbell/inboxbell.yaml";
export const DEFAULT_SOCKET = "/run/inboxbell/control.sock";
