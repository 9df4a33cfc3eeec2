// How the command line names a page of the documentation, for those who read it in a checkout and for those who
// installed a package. Pure.

/** @param file of a page, such as `phone.md` */
export function page(file: string): string {
  return `docs/${file} (packages: in /usr/share/doc/inboxbell)`;
}
