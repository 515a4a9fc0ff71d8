"""What the routes of every noun share: services, who asks, how much one may ask, reading one's own writes."""
