"""Looking back: events as they were, the stories of purchases, the audit trail with what each domain event says."""
