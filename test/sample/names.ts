/** Names of the sample district, as varied as a real one's: accents, apostrophes, hyphens, a comma. */

const list = (names: string): string[] => names.split('|').map((name) => name.trim());

export const GIVEN = {
  en: list(`
    Aaliyah | Amara | Anh | Ava | Benjamin | Brielle | Caleb | Chloe | D'Andre | Dmitri | Elijah | Emma |
    Ethan | Fatima | Grace | Hana | Henry | Ibrahim | Isla | Jack | Jamal | Jia | Kai | Kaia | Layla |
    Leilani | Liam | Lucy | Malik | Mary-Kate | Mason | Mei | Mohammed | Naomi | Noah | Nora | Olivia | Omar
    | Owen | Priya | Quinn | Ravi | Ruby | Samuel | Sanjay | Tariq | Thomas | Violet | Willow | Wyatt | Yuki
    | Zara | Zoë`),
  es: list(`
    Adrián | Alejandra | Andrés | Ángel | Begoña | Camila | Carlos | Daniela | Diego | Emilia | Esteban |
    Gabriel | Guadalupe | Inés | Iñaki | Isabel | Javier | Jesús | Joaquín | José | Juan Pablo | Julieta |
    Lucía | Luis | María | María José | Mateo | Miguel | Natalia | Nicolás | Paola | Raúl | Regina | Renata
    | Rocío | Santiago | Sebastián | Sofía | Tomás | Valentina | Verónica | Ximena`),
};

export const FAMILY = {
  en: list(`
    Abdi | Adams | Ahmed | Anderson | Baker | Begay | Bennett | Brooks | Campbell | Chen | Clark | Cohen |
    Cooper | D'Angelo | Davis | Edwards | Evans | Foster | Goldberg | Green | Gupta | Hassan |
    Hernandez-Clark | Hughes | Ivanov | Jackson | Johnson | Kahananui | Kelly | Kim | King, Jr. | Kowalski | Lee |
    Lewis | MacDonald | Miller | Mitchell | Murphy | Nguyen | O'Brien | O'Neil | Okafor | Park | Patel |
    Phillips | Reed | Robinson | Schmidt | Scott | Singh | Smith | Smith-Jones | Tanaka | Taylor | Thompson
    | Tran | Turner | van der Berg | Walker | Washington | White | Williams | Wilson | Wright | Yazzie |
    Young | Zhang`),
  es: list(`
    Acuña | Aguilar | Álvarez | Calderón | Castañeda | Castillo | Chávez | Cortés | Cruz | de la Cruz |
    Delgado | Díaz | Espinoza | Fernández | Flores | Fuentes | Gallegos | García | García-López | Gómez |
    González | Gutiérrez | Guzmán | Hernández | Ibáñez | Jiménez | López | Luján | Márquez | Martínez |
    Medina | Mendoza | Montaño | Morales | Muñoz | Núñez | Ordóñez | Ortiz | Peña | Pérez | Quiñones |
    Ramírez | Reyes | Ríos | Rodríguez | Romero | Ruiz | Saldaña | Sánchez | Soto | Torres | Treviño |
    Vásquez | Vega | Zúñiga`),
};
