"""From samples to what the video network hears: loudness, two speakers' arrangement, embeddings, windows."""
