"""What ``relay doctor`` looks at. Judgements are pure, and apart from what gathers facts."""
