// What can be wrong with the listeners' certificates, the pair's and the push certificates.
import type { Finding } from "./finding.ts";

export const CERTIFICATE_FINDINGS = {
  certificate_unusable: {
    hop: "certificates",
    level: "failure",
    cause: "A certificate or its key cannot be used at all.",
    remedy: "The sentence names the file and what is wrong with it.",
  },
  certificate_expired: {
    hop: "certificates",
    level: "failure",
    cause: "The certificate has expired: neither Exchange nor phones connect.",
    remedy: "Renew it in its place; the node takes the new one by itself within a minute or at a reload.",
  },
  certificate_not_yet_valid: {
    hop: "certificates",
    level: "failure",
    cause: "The certificate is not valid yet, or the clock of this machine is wrong.",
    remedy: "Compare its first day with the clock (timedatectl).",
  },
  certificate_expires_soon: {
    hop: "certificates",
    level: "warning",
    cause: "The certificate expires within a month.",
    remedy: "Renew it now.",
  },
  certificate_chain_incomplete: {
    hop: "certificates",
    level: "warning",
    cause:
      "The file holds no intermediate certificate, and the issuer is not an authority that this machine trusts: clients may not be able to build the chain.",
    remedy:
      "Append the intermediate certificates; if the issuer is your own root, add it to this machine's trust store.",
  },
  certificate_name_mismatch: {
    hop: "certificates",
    level: "failure",
    cause: "The certificate is not for the name in the public URL: clients refuse it.",
    remedy: "Have it issued for that name (subjectAltName), or correct the URL.",
  },
  certificate_key_mismatch: {
    hop: "certificates",
    level: "failure",
    cause: "The private key belongs to another certificate.",
    remedy:
      "Name the key that the certificate was requested with; mind the order of the files after a renewal.",
  },
  certificate_weak: {
    hop: "certificates",
    level: "failure",
    cause:
      "The certificate is signed with SHA-1 or MD5, or its RSA key is shorter than 2048 bits: phones and patched Windows servers refuse it.",
    remedy: "Have it issued anew with SHA-256 and an RSA key of 2048 bits or a P-256 key.",
  },
  certificate_curve: {
    hop: "certificates",
    level: "failure",
    cause:
      "The key is on a curve that the Windows servers below Exchange 2013 to SE do not take by default; they take P-256 and P-384.",
    remedy: "Have it issued with an RSA key of 2048 bits or a P-256 key.",
  },
  certificate_purpose: {
    hop: "certificates",
    level: "failure",
    cause: "The certificate is not issued for servers (extended key usage serverAuth).",
    remedy: "Have it issued from a template for web servers.",
  },
  certificate_long_lived: {
    hop: "certificates",
    level: "warning",
    cause: "The certificate is valid for more than 825 days: iPhones refuse such certificates.",
    remedy: "Have it issued for at most 825 days.",
  },
  push_certificate_expired: {
    hop: "certificates",
    level: "failure",
    cause: "The push certificate has expired: Apple rings no iPhone of the app.",
    remedy: "Get a new one from Apple's developer site, or change to a token key, which does not expire.",
  },
  push_certificate_expires_soon: {
    hop: "certificates",
    level: "warning",
    cause: "The push certificate expires within a month.",
    remedy: "Get a new one from Apple's developer site, or change to a token key, which does not expire.",
  },
} as const satisfies Record<string, Finding>;
