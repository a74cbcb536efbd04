// Before anything is painted: the theme that was chosen last, else there would be a flash of the other.
{
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
