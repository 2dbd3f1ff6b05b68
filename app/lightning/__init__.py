"""Lightning nodes behind two functions, `invoice` and `settled`, chosen by the scheme of a URL; and bolt11, decoded and checked."""
