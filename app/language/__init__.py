"""The words of people: which language a reader gets, moments and browsers as they are said in it."""
