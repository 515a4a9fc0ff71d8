"""The table of contents of the views: each with the columns that tell its rows apart, by which exports are ordered."""

VIEWS: dict[str, tuple[str, ...]] = {
    "sales_by_hour": ("event_id", "hour", "ticket_type_id"),
    "sales_by_day": ("event_id", "day", "ticket_type_id"),
    "sales_by_local_day": ("event_id", "day", "ticket_type_id"),
    "sales_curve": ("event_id", "days_before_start"),
    "conversion": ("event_id", "ticket_type_id"),
    "time_to_pay": ("event_id", "ticket_type_id"),
    "time_to_sell_out": ("event_id", "ticket_type_id"),
    "funnel": ("event_id", "ticket_type_id", "place"),
    "organisers": ("organiser_id", "currency"),
    "capacity_over_time": ("event_id", "ticket_type_id", "position"),
    "unmet_demand": ("event_id", "minute", "ticket_type_id", "reason"),
    "refused_accounts": ("event_id", "reason", "account_id"),
    "turned_away": ("event_id", "reason"),
    "freshness": ("position",),
}
