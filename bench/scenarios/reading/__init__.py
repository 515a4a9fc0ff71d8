"""What is read, alone and while others buy."""
