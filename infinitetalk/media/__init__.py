"""Files in, files out: pictures, films and sounds of any kind to arrays, and arrays to the film the user watches."""
