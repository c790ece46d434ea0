"""The codecs of text: words, characters and subwords."""
