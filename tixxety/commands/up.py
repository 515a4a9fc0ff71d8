"""`tixxety up`: a whole box office on one machine."""

from tixxety.options import Home, Host, Port
from tixxety.serving import up as box_office
from tixxety.settings import read_settings


def up(host: Host = "127.0.0.1", port: Port = 8000, home: Home = None) -> None:
    """Run everything until Ctrl-C, on an embedded PostgreSQL unless DATABASE_URL is set."""
    box_office.up(read_settings(home), host, port)
