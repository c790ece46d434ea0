"""A resumable queue of trainings, its rows, and the page that is made from them."""
