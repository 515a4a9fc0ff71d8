"""What runs until it is stopped: `up`, the API's process and its HTTP, the worker's process, and their logs."""
