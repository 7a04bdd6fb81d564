-- Purpose: the token of the transaction that was committed last.
select holder
from writer_lock;
