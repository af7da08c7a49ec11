"""What is kept: the gallery, the photo library and the decision log; the only SQL of facecli."""
