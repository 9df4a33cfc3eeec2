// What somebody answers to `setup` on a terminal, question by question, with files of a fresh directory.
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { freePorts, makeProps, type Props } from "../../src/rehearsal/stage/props.ts";
import { binary, freshDirectory } from "./helpers.ts";
import { sitDown, type Typist } from "./typist.ts";

/** A part of the question, and what is typed; several answers are typed until one is taken. */
export type Step = readonly [question: string, ...answers: readonly string[]];

export interface Desk {
  readonly props: Props;
  /** The configuration that is to be written. */
  readonly config: string;
  /** A file of the desk. */
  at(name: string): string;
  /** All questions in their order, with good answers, own certificates and a proxy. */
  readonly steps: readonly Step[];
  /** Starts `setup`. */
  sit(columns?: number): Typist;
  remove(): void;
}

/** @param name of the directory with the files, blanks and all */
export async function setDesk(name = "files"): Promise<Desk> {
  const directory = freshDirectory("desk");
  const files = join(directory.path, name);
  mkdirSync(files);
  const props = await makeProps(files, await freePorts(), randomBytes);
  const at = (file: string) => join(files, file);
  const target = join(directory.path, `target of ${name}`);
  const config = join(target, "etc", "inboxbell.yaml");
  return {
    props,
    config,
    at,
    steps: [
      ["Phones reach it as", "127.0.0.1"],
      ["Exchange reaches it as", "127.0.0.1"],
      ["Networks of the Exchange", "127.0.0.0/8"],
      ["Networks that phones", "127.0.0.0/8"],
      ["Make a private authority", "n"],
      ["Certificate chain for phones", at("tls/reg.pem")],
      ["Its private key", at("tls/reg.key")],
      ["Certificate chain for Exchange", at("tls/ews.pem")],
      ["Its private key", at("tls/ews.key")],
      ["bundle identifier", "com.example.mail"],
      ["token key", at("AuthKey.p8")],
      ["Its key ID", props.apnsKey.keyId],
      ["team's ID", props.apnsKey.teamId],
      ["Apple's environment", ""],
      ["Google service account", at("fcm.json")],
      ["secret that phones enrol", at("enrolment.secret")],
      ["HTTP proxy", "http://proxy.corp.example:3128"],
      ["Account there", "bell"],
      ["File with its password", at("enrolment.secret")],
    ],
    sit: (columns) =>
      sitDown(
        [binary, "setup", "--config", config, "--state-directory", join(target, "var")],
        columns === undefined ? { temporary: at("tmp") } : { temporary: at("tmp"), columns },
      ),
    remove: directory.remove,
  };
}

/** Answers questions as they come. */
export async function answer(typist: Typist, steps: readonly Step[]): Promise<void> {
  for (const [question, ...answers] of steps) {
    for (const each of answers) {
      await typist.sees(question);
      typist.type(`${each}\r`);
    }
  }
}
