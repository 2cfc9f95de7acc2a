"""From samples to the video network's audio conditions: loudness, two speakers' arrangement, embeddings, windows."""
