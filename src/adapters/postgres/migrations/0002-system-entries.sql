-- Trust roots, policies and tallies are few, read at every start, and lie among millions of other entries.
CREATE INDEX log_entry_predicate ON weighbridge.log_entry (namespace, predicate_type, log_index DESC);
