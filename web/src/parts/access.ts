// What a person may do here; the server decides, the page only leaves out what it would refuse.

import type { Me, Role } from "../types.ts";

const ROLES: Role[] = ["reader", "annotator", "admin"];

export function may(me: Me, role: Role): boolean {
  return ROLES.indexOf(me.role) >= ROLES.indexOf(role);
}
