"""One file a step. A step that was released is never changed, and imports nothing of ours that may change."""
