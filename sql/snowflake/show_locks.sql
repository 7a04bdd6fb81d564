-- Purpose: the transactions of this user that hold or wait for a lock; it wakes no virtual warehouse.
show locks;
