-- Trust roots and policies are few, read at every start, and lie among millions of other entries.
CREATE INDEX log_entry_system ON weighbridge.log_entry (predicate_type, log_index) WHERE namespace = 'system';
