"""What we are held against: the same task done the ordinary ways, each as good as it gets."""
