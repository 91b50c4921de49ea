/* imports.h - asks for an import of another recorder's database, and says how it goes.
 *
 * `import` does not run while there is nothing to import. Who wants one leaves its path in
 * <data>/import/request and tells s6 to start it; import removes the request when it is done,
 * and writes how it goes to <data>/import/status. So the answer outlives every process. */
#ifndef IMPORTS_H
#define IMPORTS_H

#include "actor.h"

int import_tell(actor_t *, struct import_status *);
int import_ask(actor_t *, const struct import_request *, struct import_status *);
int import_end(actor_t *, struct import_status *);

#endif
