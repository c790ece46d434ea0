"""DNA: records with genes from FASTA, GenBank and GFF3, windows with a label, and a generator of toy genes."""
