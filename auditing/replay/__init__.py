"""Looking back: events as they were, whole on-sales, the audit trail with what each domain event says."""
