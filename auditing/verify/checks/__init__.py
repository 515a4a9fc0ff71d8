"""What a database and a file are judged by: the history in its one order, stream by stream, and its seals."""
